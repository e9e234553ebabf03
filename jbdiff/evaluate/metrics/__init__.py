"""What is measured on sound: one module for each quantity."""
