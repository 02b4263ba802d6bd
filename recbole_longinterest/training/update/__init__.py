"""From a trained model and new events to an updated model."""
