"""The model store; `index.yaml` pins every model.

- `store`: cache, fetch and verify models
- `sources`: where a model's bytes come from: a folder, the hub, packages that mirror them
"""
