"""What a model adapted to a set of classifications is used for: rows to predict, labelled rows."""
