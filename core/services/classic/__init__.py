"""The rules of the classic Petstore API, for the door of that alone: what is found by number or name is written whole.

``pets``    pets, and how classic clients see them
``orders``  orders and the count of pets
``users``   users, and a login that gives no token
``seed``    what a classic store holds at its start
"""
