"""Every form in which weights come, read without running code of theirs."""
