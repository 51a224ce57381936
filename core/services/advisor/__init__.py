"""The advisor: answers what people ask a pet shop, from the store as it is.

``language``       what it knows of English: words and patterns of language.json, and their spelling
``quantities``     ages and prices in a text
``understanding``  the first step: from a conversation to a wish
"""
