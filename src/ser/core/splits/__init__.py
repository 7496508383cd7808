"""Who is trained on and who is tested, and that nothing leaks. Pure."""
