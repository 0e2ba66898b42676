"""Networks that metrics look through: Inception, AlexNet under LPIPS, and the judges of our own."""
