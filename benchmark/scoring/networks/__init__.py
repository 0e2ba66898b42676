"""The networks that metrics use: Inception, AlexNet in LPIPS, and the project's own judges."""
