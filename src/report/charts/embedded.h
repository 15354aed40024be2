#pragma once

#include <string>
#include <string_view>
#include <vector>

// How charts carry their numbers for the page's script (assets/page.js).
namespace foregate::report {

/// Of numbers in base 64.
constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Escaped for an attribute, a line each.
std::string joined(const std::vector<std::string>& labels);

}  // namespace foregate::report
