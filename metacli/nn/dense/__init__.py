"""Networks that answer for every pixel of an image, for several tasks at once."""
