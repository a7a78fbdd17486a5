"""The server: requests in, answers of the same verbs as on the command line out."""
