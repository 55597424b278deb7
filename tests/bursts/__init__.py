"""Many accounts fall at one block: does the keeper see all of them through, in how many blocks, and how fast?"""
