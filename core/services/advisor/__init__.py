"""The advisor: answers what people ask a pet shop, from the store as it is. It understands, searches and answers.

``language``       what it knows of English: words and patterns of language.json, and their spelling
``quantities``     ages and prices in a text
``people``         the ages in a text that are not those of the wanted pet
``understanding``  from a conversation to a wish
``wish``           what somebody wishes
``search``         from a wish to pets
``one_pet``        what the record of a pet says
``answering``      from a wish to the answer; what needs no look at the store is in answers.json
``pieces``         what an answer is made of, and how tokens are counted
``embedded``       these steps as the engine that answers
``conversation``   a language model as the engine that answers
``tools``          what such a model may call
``completions``    the operations that clients ask for
"""
