"""What is held, written in forms that other programs take; one module for each."""
