"""From files and tables to split, hashed, checked examples."""
