#pragma once

#include <string>

namespace foregate::python {

/// Raises the class `name` of foregate/errors.py. The GIL is held.
[[noreturn]] void throw_error(const char* name, const std::string& message);

}  // namespace foregate::python
