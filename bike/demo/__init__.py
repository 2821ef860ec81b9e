"""The demo: a generated data set of short videos, and the small CLIP that stands where OpenAI's weights stand."""
