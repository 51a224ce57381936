"""The servers that the gateway is compared with, each written as its users write it."""
