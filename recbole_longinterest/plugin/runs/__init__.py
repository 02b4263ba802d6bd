"""What a training run keeps on disk, and how it goes on."""
