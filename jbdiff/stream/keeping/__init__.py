"""States of a stream in little memory."""
