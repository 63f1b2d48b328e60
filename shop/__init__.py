"""A back-office-first shop: features in the middle, five doors around them. See docs/map.md."""
