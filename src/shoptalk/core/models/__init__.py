"""The model store: `index.yaml` pins every model, `sources` fetches, `store` caches and verifies."""
