"""What every part runs on: components in order, cells, backoff, health, errors. It knows nothing of the
product.

Data comes in by constructor parameters and leaves by ``Latest`` cells; nothing here reads settings, the
environment or a driver.
"""
