#pragma once

// Internal to trace/.

#include <filesystem>
#include <initializer_list>
#include <string_view>

namespace foregate::trace {

/// Whether a file's name ends so, also with the ending of a compression behind it.
bool is_named(const std::filesystem::path& file, std::initializer_list<std::string_view> endings);

}  // namespace foregate::trace
