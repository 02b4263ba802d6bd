"""The network: tensors and numbers only, no RecBole."""
