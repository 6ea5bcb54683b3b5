;; Divides by zero, in its start.
(component
  (core module $m
    (func $start (drop (i32.div_s (i32.const 1) (i32.const 0))))
    (start $start))
  (core instance (instantiate $m)))
