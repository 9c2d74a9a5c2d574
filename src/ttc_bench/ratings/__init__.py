"""What people say of answers: pairs shown blind, each rating a row of a database."""
