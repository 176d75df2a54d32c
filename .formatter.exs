[
  line_length: 120,
  inputs: ["{mix,.formatter}.exs", "{bench,examples,lib,test}/**/*.{ex,exs}"]
]
