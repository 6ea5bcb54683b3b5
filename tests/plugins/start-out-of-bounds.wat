;; Reads beyond its memory, in its start.
(component
  (core module $m
    (memory 1)
    (func $start (drop (i32.load (i32.const 65536))))
    (start $start))
  (core instance (instantiate $m)))
