BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE alert (
	id VARCHAR(64) NOT NULL, 
	revision BIGINT NOT NULL, 
	rule VARCHAR(128) NOT NULL, 
	severity SMALLINT NOT NULL, 
	confidence DOUBLE NOT NULL, 
	rank DOUBLE NOT NULL, 
	first_seen BIGINT NOT NULL, 
	last_seen BIGINT NOT NULL, 
	count BIGINT NOT NULL, 
	client_ip VARCHAR(45), 
	server_ip VARCHAR(45), 
	part_of VARCHAR(64), 
	body JSON NOT NULL, 
	change BIGINT NOT NULL, 
	triage_state VARCHAR(16) NOT NULL, 
	triage_version BIGINT NOT NULL, 
	triage_by VARCHAR(64), 
	triage_at BIGINT, 
	triage_note TEXT, 
	triage_disposition VARCHAR(32), 
	triage_permit VARCHAR(64), 
	triage_count BIGINT, exception VARCHAR(64), 
	CONSTRAINT pk_alert PRIMARY KEY (id), 
	CONSTRAINT uq_alert_change UNIQUE (change)
);
INSERT INTO "alert" VALUES('00000000000000000000000000000001',1,'modbus_write',3,0.9,51.0,1764000001000000000,1764000001000000001,1,'10.0.0.1','10.0.1.1',NULL,'{"texts": {"en": {"title": "Alert 1", "summary": "10.0.0.1 wrote to 10.0.1.1", "expected": "no writes", "observed": "a write", "next_steps": ["Ask the shift."]}, "zh-CN": {"title": "\u544a\u8b66 1", "summary": "\u5199\u5165", "expected": "\u65e0\u5199\u5165", "observed": "\u5199\u5165", "next_steps": ["\u8be2\u95ee\u5f53\u73ed\u4eba\u5458\u3002"]}}, "techniques": ["T0836"], "technique_aliases": ["T0855"], "records": [], "related": [], "part_of": null}',4,'triaging',1,'lin',1795934940081118462,'on my way',NULL,NULL,NULL,NULL);
INSERT INTO "alert" VALUES('00000000000000000000000000000002',3,'modbus_write',3,0.9,52.0,1764000002000000000,1764000002000000003,3,'10.0.0.2','10.0.1.1',NULL,'{"texts": {"en": {"title": "Alert 2", "summary": "10.0.0.2 wrote to 10.0.1.1", "expected": "no writes", "observed": "a write", "next_steps": ["Ask the shift."]}, "zh-CN": {"title": "\u544a\u8b66 2", "summary": "\u5199\u5165", "expected": "\u65e0\u5199\u5165", "observed": "\u5199\u5165", "next_steps": ["\u8be2\u95ee\u5f53\u73ed\u4eba\u5458\u3002"]}}, "techniques": ["T0836"], "technique_aliases": ["T0855"], "records": [], "related": [], "part_of": null}',7,'triaging',3,'lin',1795934940104091452,'works',NULL,NULL,NULL,NULL);
INSERT INTO "alert" VALUES('00000000000000000000000000000003',1,'modbus_write',3,0.9,53.0,1764000003000000000,1764000003000000001,1,'10.0.0.3','10.0.1.1',NULL,'{"texts": {"en": {"title": "Alert 3", "summary": "10.0.0.3 wrote to 10.0.1.1", "expected": "no writes", "observed": "a write", "next_steps": ["Ask the shift."]}, "zh-CN": {"title": "\u544a\u8b66 3", "summary": "\u5199\u5165", "expected": "\u65e0\u5199\u5165", "observed": "\u5199\u5165", "next_steps": ["\u8be2\u95ee\u5f53\u73ed\u4eba\u5458\u3002"]}}, "techniques": ["T0836"], "technique_aliases": ["T0855"], "records": [], "related": [], "part_of": null}',3,'new',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE alert_event (
	id INTEGER NOT NULL, 
	alert_id VARCHAR(64) NOT NULL, 
	at BIGINT NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	actor VARCHAR(64) NOT NULL, 
	note TEXT, 
	disposition VARCHAR(32), 
	permit VARCHAR(64), 
	count BIGINT NOT NULL, 
	CONSTRAINT pk_alert_event PRIMARY KEY (id), 
	CONSTRAINT fk_alert_event_alert_id_alert FOREIGN KEY(alert_id) REFERENCES alert (id)
);
INSERT INTO "alert_event" VALUES(1,'00000000000000000000000000000001',1795934940074488688,'raised','system',NULL,NULL,NULL,1);
INSERT INTO "alert_event" VALUES(2,'00000000000000000000000000000002',1795934940074592326,'raised','system',NULL,NULL,NULL,1);
INSERT INTO "alert_event" VALUES(3,'00000000000000000000000000000003',1795934940074638491,'raised','system',NULL,NULL,NULL,1);
INSERT INTO "alert_event" VALUES(4,'00000000000000000000000000000001',1795934940082835672,'acknowledged','lin','on my way',NULL,NULL,1);
INSERT INTO "alert_event" VALUES(5,'00000000000000000000000000000002',1795934940086401146,'acknowledged','lin','works',NULL,NULL,1);
INSERT INTO "alert_event" VALUES(6,'00000000000000000000000000000002',1795934940089232625,'closed','lin','works','false_positive',NULL,1);
INSERT INTO "alert_event" VALUES(7,'00000000000000000000000000000002',1795934940104098071,'recurred','system',NULL,NULL,NULL,3);
CREATE TABLE alert_technique (
	technique VARCHAR(16) NOT NULL, 
	alert_id VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_alert_technique PRIMARY KEY (technique, alert_id), 
	CONSTRAINT fk_alert_technique_alert_id_alert FOREIGN KEY(alert_id) REFERENCES alert (id)
);
INSERT INTO "alert_technique" VALUES('T0836','00000000000000000000000000000001');
INSERT INTO "alert_technique" VALUES('T0836','00000000000000000000000000000002');
INSERT INTO "alert_technique" VALUES('T0836','00000000000000000000000000000003');
CREATE TABLE audit_entry (
	number INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	actor VARCHAR(64) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	subject VARCHAR(255) NOT NULL, 
	detail JSON NOT NULL, 
	previous_hash VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_audit_entry PRIMARY KEY (number)
);
INSERT INTO "audit_entry" VALUES(1,1795934939923154961,'system','','setup.link','setup','{"expires_seconds": 3600}','0000000000000000000000000000000000000000000000000000000000000000','8a37f603cb1f83dead0ffa5e670c293f6f32c21e6d962936524a5dd9e0417189');
INSERT INTO "audit_entry" VALUES(2,1795934940062748292,'lin','127.0.0.1','user.create','lin','{"role": "administrator"}','8a37f603cb1f83dead0ffa5e670c293f6f32c21e6d962936524a5dd9e0417189','09631b0097c5eb7bba75163e5713fe386012ebc439f4fc5d0fcb2dd3ae57c4c9');
INSERT INTO "audit_entry" VALUES(3,1795934940066220459,'lin','127.0.0.1','session.open','5122620edcc81062','{}','09631b0097c5eb7bba75163e5713fe386012ebc439f4fc5d0fcb2dd3ae57c4c9','2953071fbfcd19f316d51997620701ee5e4358cd11a598cb6ab592dae814ff4e');
INSERT INTO "audit_entry" VALUES(4,1795934940084738739,'lin','127.0.0.1','alert.acknowledge','00000000000000000000000000000001','{"note": "on my way"}','2953071fbfcd19f316d51997620701ee5e4358cd11a598cb6ab592dae814ff4e','2758fb52b179f5746aa5177557519a154957274e8f91729096ca3c67463b1232');
INSERT INTO "audit_entry" VALUES(5,1795934940087534756,'lin','127.0.0.1','alert.acknowledge','00000000000000000000000000000002','{"note": "works"}','2758fb52b179f5746aa5177557519a154957274e8f91729096ca3c67463b1232','3cc9f43a1a075841d333206d0950d98da5980a3d89a07dd57f4f9b110c48dbec');
INSERT INTO "audit_entry" VALUES(6,1795934940090406848,'lin','127.0.0.1','alert.close','00000000000000000000000000000002','{"disposition": "false_positive", "note": "works", "permit": null}','3cc9f43a1a075841d333206d0950d98da5980a3d89a07dd57f4f9b110c48dbec','7e8144d986097ec30d06c1aef5423789cd6656f2a477a5f32666d0b995013c5b');
INSERT INTO "audit_entry" VALUES(7,1795934940096038394,'system','','site.take_over','9421776c79a890b3734295eb7653b069','{"before": null, "exceptions": []}','7e8144d986097ec30d06c1aef5423789cd6656f2a477a5f32666d0b995013c5b','2de9a93b4c6c831684df7bef496d01b4723244aeddcc8ddf0b276890464e2e37');
INSERT INTO "audit_entry" VALUES(8,1795934940101521300,'lin','127.0.0.1','exception.make','lab-writes','{"alert": "00000000000000000000000000000002", "exception": {"name": "lab-writes", "rules": ["modbus_write"], "clients": ["10.0.0.2"], "end": "2027-01-01T00:00:00Z", "reason": "tests in the lab", "by": "lin"}}','2de9a93b4c6c831684df7bef496d01b4723244aeddcc8ddf0b276890464e2e37','f17e98cda5ef1d45ea984fcafc0fb1b6ef3dd6892c46882f74555122225e2d2a');
INSERT INTO "audit_entry" VALUES(9,1795934940105740076,'system','','alert.recur','00000000000000000000000000000002','{"count": 3}','f17e98cda5ef1d45ea984fcafc0fb1b6ef3dd6892c46882f74555122225e2d2a','c5033dd00420300f1fd3bdefba61badc5ed23b5c13839b84ea9016ca8eb281d7');
CREATE TABLE counter (
	name VARCHAR(32) NOT NULL, 
	value BIGINT NOT NULL, 
	CONSTRAINT pk_counter PRIMARY KEY (name)
);
INSERT INTO "counter" VALUES('change',7);
INSERT INTO "counter" VALUES('audit',9);
CREATE TABLE decision (
	id VARCHAR(32) NOT NULL, 
	at BIGINT NOT NULL, 
	"by" VARCHAR(64) NOT NULL, 
	choice VARCHAR(16) NOT NULL, 
	content TEXT NOT NULL, 
	sent_at BIGINT, 
	CONSTRAINT pk_decision PRIMARY KEY (id)
);
INSERT INTO "decision" VALUES('04db5c93dfc7498d',1795934940099025967,'lin','except','{"choice": "except", "name": "lab-writes", "by": "lin", "exemption": {"name": "lab-writes", "kind": "suppress", "rules": ["modbus_write"], "clients": ["10.0.0.2"], "servers": [], "target": {}, "start": null, "end": "2027-01-01T00:00:00Z", "reason": "tests in the lab", "by": "lin"}, "id": "04db5c93dfc7498d", "at": 1795934940099025967}',NULL);
CREATE TABLE setup_link (
	token_hash VARCHAR(64) NOT NULL, 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	used_at BIGINT, 
	CONSTRAINT pk_setup_link PRIMARY KEY (token_hash)
);
INSERT INTO "setup_link" VALUES('dc1be78f808f4ac7cf81317586e258b2d9643c87ed67d7c9ff8a38912fcfc9dd',1795934939919014833,1795938539919014833,1795934940058972562);
CREATE TABLE site_exception (
	name VARCHAR(64) NOT NULL, 
	version BIGINT NOT NULL, 
	content JSON NOT NULL, 
	alert_id VARCHAR(64), 
	changed_by VARCHAR(64) NOT NULL, 
	changed_at BIGINT NOT NULL, 
	withdrawn BOOLEAN NOT NULL, 
	decision VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_site_exception PRIMARY KEY (name)
);
INSERT INTO "site_exception" VALUES('lab-writes',1,'{"name": "lab-writes", "rules": ["modbus_write"], "clients": ["10.0.0.2"], "end": "2027-01-01T00:00:00Z", "reason": "tests in the lab", "by": "lin"}','00000000000000000000000000000002','lin',1795934940099032066,0,'04db5c93dfc7498d');
CREATE TABLE site_version (
	id INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	version VARCHAR(32) NOT NULL, 
	content JSON NOT NULL, 
	CONSTRAINT pk_site_version PRIMARY KEY (id)
);
INSERT INTO "site_version" VALUES(1,1795934940091761276,'9421776c79a890b3734295eb7653b069','{"site": "", "lists": {}, "windows": {}, "ranges": {}, "critical": {}, "false_alarms_a_day": 1.0, "learning": {"least_hours": 24, "most_hours": 336}, "budget": "", "exceptions": [], "rules": {}}');
CREATE TABLE stream_position (
	consumer VARCHAR(32) NOT NULL, 
	position TEXT NOT NULL, 
	CONSTRAINT pk_stream_position PRIMARY KEY (consumer)
);
INSERT INTO "stream_position" VALUES('alerts','{"offsets":{"0":3},"seen":[]}');
CREATE TABLE user_account (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	password_hash VARCHAR(255) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	created_at BIGINT NOT NULL, 
	disabled_at BIGINT, 
	CONSTRAINT pk_user_account PRIMARY KEY (id), 
	CONSTRAINT uq_user_account_name UNIQUE (name)
);
INSERT INTO "user_account" VALUES(1,'lin','$argon2id$v=19$m=65536,t=3,p=4$4rzlZJ0nFL0JSz7W7EH88A$wvpy9FWKLuAE9LW16T7vPneHSdWKDYaixjO3xYq+MpU','administrator',1795934940060784656,NULL);
CREATE TABLE user_session (
	id VARCHAR(32) NOT NULL, 
	user_id INTEGER NOT NULL, 
	token_hash VARCHAR(64) NOT NULL, 
	created_at BIGINT NOT NULL, 
	seen_at BIGINT NOT NULL, 
	revoked_at BIGINT, 
	address VARCHAR(64) NOT NULL, 
	agent VARCHAR(200) NOT NULL, 
	CONSTRAINT pk_user_session PRIMARY KEY (id), 
	CONSTRAINT fk_user_session_user_id_user_account FOREIGN KEY(user_id) REFERENCES user_account (id), 
	CONSTRAINT uq_user_session_token_hash UNIQUE (token_hash)
);
INSERT INTO "user_session" VALUES('5122620edcc81062',1,'d9dcbeea20afb20fe49aff73db8ef4e4bcc0cbf883a79204592d0bcb59d09944',1795934940064236707,1795934940064236707,NULL,'127.0.0.1','browser');
CREATE INDEX ix_alert_client_ip ON alert (client_ip);
CREATE INDEX ix_alert_count_id ON alert (count, id);
CREATE INDEX ix_alert_first_seen_id ON alert (first_seen, id);
CREATE INDEX ix_alert_last_seen_id ON alert (last_seen, id);
CREATE INDEX ix_alert_rank_id ON alert (rank, id);
CREATE INDEX ix_alert_rule ON alert (rule);
CREATE INDEX ix_alert_server_ip ON alert (server_ip);
CREATE INDEX ix_alert_severity_rank_id ON alert (severity, rank, id);
CREATE INDEX ix_alert_triage_state_last_seen_id ON alert (triage_state, last_seen, id);
CREATE INDEX ix_alert_triage_state_rank_id ON alert (triage_state, rank, id);
CREATE INDEX ix_audit_entry_action ON audit_entry (action);
CREATE INDEX ix_audit_entry_subject ON audit_entry (subject);
CREATE INDEX ix_alert_event_alert_id ON alert_event (alert_id);
CREATE INDEX ix_alert_technique_alert_id ON alert_technique (alert_id);
CREATE INDEX ix_user_session_user_id ON user_session (user_id);
CREATE TRIGGER audit_entry_update BEFORE UPDATE ON audit_entry BEGIN SELECT RAISE(ABORT, 'audit entries cannot be changed'); END;
CREATE TRIGGER audit_entry_delete BEFORE DELETE ON audit_entry BEGIN SELECT RAISE(ABORT, 'audit entries cannot be changed'); END;
CREATE INDEX ix_alert_severity_triage_state_part_of_exception ON alert (severity, triage_state, part_of, exception);
CREATE INDEX ix_decision_at ON decision (at);
COMMIT;
