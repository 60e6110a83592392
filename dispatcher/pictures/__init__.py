"""From a picture's bytes to a model's input, and back to the picture."""
