#include "hub/url.h"

#include <curl/urlapi.h>
#include <fmt/format.h>
#include <strings.h>

#include <memory>

#include "base/error.h"

namespace foregate::hub {
namespace {

struct Free {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
  void operator()(char* text) const { curl_free(text); }
};
using Handle = std::unique_ptr<CURLU, Free>;

/// Null if it is no address.
Handle parsed(const std::string& url) {
  Handle handle(curl_url());
  if (curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return nullptr;
  return handle;
}

/// Empty if there is no such part.
std::string part(const Handle& handle, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle.get(), which, &text, flags) != CURLUE_OK) return "";
  const std::unique_ptr<char, Free> owner(text);
  return text;
}

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

}  // namespace

std::string escape(const std::string& text, bool keep_slashes) {
  std::string escaped;
  for (const char c : text) {
    const bool keep = is_plain(c) || (c == '/' && keep_slashes);
    escaped += keep ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return escaped;
}

std::string follow(const std::string& base, const std::string& location) {
  const Handle handle = parsed(base);
  // Setting a relative address resolves it against the one that is there.
  if (handle == nullptr ||
      curl_url_set(handle.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) {
    throw DataError(fmt::format("{} redirects to something that is no address", shown(base)));
  }
  const std::string target = part(handle, CURLUPART_URL);
  const std::string scheme = part(handle, CURLUPART_SCHEME);
  if (scheme != "https" && scheme != "http") {
    throw DataError(
        fmt::format("{} redirects to {}; expected http or https", shown(base), shown(target)));
  }
  if (scheme == "http" && base.starts_with("https:")) {
    throw DataError(fmt::format("{} redirects to {} without encryption; this is not followed",
                                shown(base), shown(target)));
  }
  return target;
}

bool same_origin(const std::string& a, const std::string& b) {
  const Handle first = parsed(a);
  const Handle second = parsed(b);
  if (first == nullptr || second == nullptr) return false;
  const auto same = [&](CURLUPart which, unsigned flags) {
    const std::string one = part(first, which, flags);
    return !one.empty() && ::strcasecmp(one.c_str(), part(second, which, flags).c_str()) == 0;
  };
  return same(CURLUPART_SCHEME, 0) && same(CURLUPART_HOST, 0) &&
         same(CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

std::string shown(const std::string& url) {
  const Handle handle = parsed(url);
  if (handle == nullptr) return "an address that cannot be read";
  for (const CURLUPart secret :
       {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT}) {
    curl_url_set(handle.get(), secret, nullptr, 0);
  }
  return part(handle, CURLUPART_URL);
}

}  // namespace foregate::hub
