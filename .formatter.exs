[
  line_length: 120,
  inputs: ["{mix,.formatter}.exs", "{bench,examples,lib,mix,test}/**/*.{ex,exs}"]
]
