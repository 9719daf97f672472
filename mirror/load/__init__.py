"""From held files to proven tensors: opened, read in their true format, judged; nothing of them ever runs."""
