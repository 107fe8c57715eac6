"""Images from the web, politely and safely: a URL in; its bytes, or a failure of a kind, out."""
