"""What a take keeps beside its sound and its log, so that it can be rendered again: states and sounds."""
