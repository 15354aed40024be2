#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include "hub/environment.h"
#include "hub/retry.h"

namespace foregate::hub {

/// What came back, after redirects.
struct Response {
  int status = 0;
  Headers headers;
  std::string error_body;     ///< the beginning of what an answer other than 2xx carries
  bool from_endpoint = true;  ///< false: another host answered, after a redirect
};

/// Takes the body of a 2xx answer.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Once for an answer with a body, before the first append().
  virtual void start(const Response& response) = 0;
  virtual void append(std::span<const std::byte> bytes) = 0;
};

/// The connection failed, or broke off in the middle. Trying again may help.
class ConnectionError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Whether the work is to be given up; asked at least once a second while a transfer runs.
using StopCheck = std::function<bool()>;

/// Thrown out of a transfer when StopCheck says so.
class Stopped : public std::runtime_error {
 public:
  Stopped() : std::runtime_error("stopped") {}
};

/// GET requests, one after the other; a connection stays open between them. Not for several
/// threads at once.
class HttpClient {
 public:
  HttpClient(const Environment& environment, StopCheck stop);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Asks for `url`, from byte `first_byte` on, follows redirects (the token goes to the endpoint's
  /// own host only) and hands the body of a 2xx answer to `sink` as it comes. Throws
  /// ConnectionError, Stopped, EnvironmentError (certificates), DataError (redirects that lead
  /// nowhere), and what the sink throws. Other answers than 2xx are returned.
  Response get(const std::string& url, uint64_t first_byte, Sink& sink);

  const Environment& environment() const { return environment_; }
  const StopCheck& stop() const { return stop_; }

 private:
  struct Transfer;
  struct Impl;
  Response get_once(const std::string& url, uint64_t first_byte, Sink& sink);

  Environment environment_;
  StopCheck stop_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace foregate::hub
