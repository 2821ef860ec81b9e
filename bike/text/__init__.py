"""CLIP's tokenizer, and the prompts that class names go into."""
