"""What `fullclip demo` shows: a small model asked about pairs that it never saw, and the page of its answers."""
