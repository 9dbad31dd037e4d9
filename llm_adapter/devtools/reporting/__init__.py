"""What the developer tools share to tell what they found."""
