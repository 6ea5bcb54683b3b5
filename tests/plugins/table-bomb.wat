;; Makes a table larger for as long as it may.
(component
  (core module $m
    (table $t 1 funcref)
    (func $start
      (loop $again
        (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))))
    (start $start))
  (core instance (instantiate $m)))
