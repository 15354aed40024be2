#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace foregate {

/// The bytes that a base64 text stands for (RFC 4648, either alphabet; padding and line breaks may
/// be there or not). Nothing if the text is not base64.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace foregate
