"""What a stream plays beside the sound of its levels."""
