"""What every room uses: errors, files, progress, interruption, downloads, pretrained files."""
