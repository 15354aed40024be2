#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace foregate {

/// Results, on stdout. Throws EnvironmentError if stdout cannot be written (closed pipe, full
/// disk).
void print_line(const std::string& line);
/// Text without an end of line, at once.
void print_text(std::string_view text);
void print_json(const Json& json);

}  // namespace foregate
