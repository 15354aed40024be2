#pragma once

#include <string>

#include "base/json.h"

namespace foregate {

/// Results, on stdout. Throws EnvironmentError if stdout cannot be written (closed pipe, full
/// disk).
void print_line(const std::string& line);
void print_json(const Json& json);

}  // namespace foregate
