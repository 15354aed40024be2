#pragma once

#include <string>

namespace foregate::hub {

/// `text` as one part of an address: everything but letters, digits, '-', '.', '_' and '~' is
/// escaped, '/' too unless `keep_slashes`.
std::string escape(const std::string& text, bool keep_slashes = false);

/// Where a redirect from `base` to `location` leads. Throws DataError if that is no http(s)
/// address, or if it leads from https to http.
std::string follow(const std::string& base, const std::string& location);

/// Whether scheme, host and port are the same. Only then may a token be sent along.
bool same_origin(const std::string& a, const std::string& b);

/// Without user, query and fragment, where addresses carry secrets: for messages.
std::string shown(const std::string& url);

}  // namespace foregate::hub
