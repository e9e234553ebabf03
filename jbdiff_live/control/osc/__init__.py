"""OSC: packets, the names in them, and the link that receives and sends them."""
