"""The case bank and the encoders that recall and rank its cases."""
