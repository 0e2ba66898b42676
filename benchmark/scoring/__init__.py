"""From a model or a folder of images to metrics."""
