;; Copies its whole memory for ever, in its start: the longest instruction that there is.
(component
  (core module $m
    (memory 512)
    (func $start
      (loop $again
        (memory.copy (i32.const 16777216) (i32.const 0) (i32.const 16777216))
        (br $again)))
    (start $start))
  (core instance (instantiate $m)))
