"""Commands around models: weights, published rows, and models for others."""
