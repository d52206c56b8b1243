BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE definitions (
	digest VARCHAR(64) NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (digest)
);
INSERT INTO "definitions" VALUES('a6c71758531662130acc76422b5eb5d5a92b4b269094aa460735b3a53697f504','{"flow":"golden","takes":"Question","gives":"Answer","nodes":{"think":{"is":"a function","takes":"Question","gives":"Answer"},"print_it":{"is":"a function","takes":"Answer","gives":"Answer"}},"edges":["edge think -> print_it"],"starts":["think"],"ends":["print_it"],"types":{"Question":1,"Answer":1,"Failure":1,"Rejection":1}}');
CREATE TABLE facts (
	run VARCHAR NOT NULL, 
	seq INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	at DOUBLE NOT NULL, 
	task VARCHAR, 
	node VARCHAR, 
	body TEXT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (run, seq), 
	FOREIGN KEY(run) REFERENCES runs (id)
)
 WITHOUT ROWID

;
INSERT INTO "facts" VALUES('17a3a235f936',1,'run-started',1.79553466977483868602e+09,NULL,NULL,'{"flow":"golden","message":{"$message":"1ad2af4bc2c68e17f769cdec5c0f61edce8f593637ebc81911198258e4dac017"},"thread":"t","key":"k","seed":0,"limit":null,"definition":"a6c71758531662130acc76422b5eb5d5a92b4b269094aa460735b3a53697f504","releases":{},"forked_from":null,"forked_before":null}','a0599f35849f9aee816f74df2aad2de30d583fd6be9ff63db26b82b664d07d27');
INSERT INTO "facts" VALUES('17a3a235f936',2,'task-started',1.79553466977483868602e+09,'think','think','{"attempt":1,"inputs":[{"$message":"1ad2af4bc2c68e17f769cdec5c0f61edce8f593637ebc81911198258e4dac017"}],"given":{}}','b4583665e0697a1ef5f9992f73cc52b8f2287f38faf8b9e2a7b75e0fc7ab0c87');
INSERT INTO "facts" VALUES('17a3a235f936',3,'task-finished',1.79553466977637624741e+09,'think','think','{"output":{"$message":"bcc9325ac7a2c6c6d73f8116dc114e89c14159441438330299efcd00cfc32c34"}}','775944c5dcd4caaf54535d40e58ffb57e5a1db7548ae0c79c67b09bc4ca5b790');
INSERT INTO "facts" VALUES('17a3a235f936',4,'task-started',1.79553466977637624741e+09,'print_it','print_it','{"attempt":1,"inputs":[{"$message":"bcc9325ac7a2c6c6d73f8116dc114e89c14159441438330299efcd00cfc32c34"}],"given":{}}','df165ba3f5556fab6d596cdf383eddcf056ff4cba0467b49661eca24321ba192');
INSERT INTO "facts" VALUES('17a3a235f936',5,'run-suspended',1.79553466978761839863e+09,NULL,NULL,'{}','13ccf05b18e9c661f62ce7995e5d41dc01e70eeb42dab7c0b42d193fe6d05bc7');
CREATE TABLE messages (
	digest VARCHAR(64) NOT NULL, 
	kind VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	origin TEXT, 
	PRIMARY KEY (digest)
)
 WITHOUT ROWID

;
INSERT INTO "messages" VALUES('1ad2af4bc2c68e17f769cdec5c0f61edce8f593637ebc81911198258e4dac017','Question',1,'{"text":"gold"}',NULL);
INSERT INTO "messages" VALUES('bcc9325ac7a2c6c6d73f8116dc114e89c14159441438330299efcd00cfc32c34','Answer',1,'{"text":"GOLD"}',NULL);
CREATE TABLE pruned (
	run VARCHAR NOT NULL, 
	flow VARCHAR NOT NULL, 
	head INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	at DOUBLE NOT NULL, 
	PRIMARY KEY (run)
);
CREATE TABLE runs (
	id VARCHAR NOT NULL, 
	flow VARCHAR NOT NULL, 
	thread VARCHAR, 
	"key" VARCHAR, 
	state VARCHAR NOT NULL, 
	asked INTEGER NOT NULL, 
	started DOUBLE NOT NULL, 
	updated DOUBLE NOT NULL, 
	definition VARCHAR NOT NULL, 
	forked_from VARCHAR, 
	head INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	fence INTEGER NOT NULL, 
	worker VARCHAR, 
	PRIMARY KEY (id), 
	CONSTRAINT runs_flow_key UNIQUE (flow, "key")
);
INSERT INTO "runs" VALUES('17a3a235f936','golden','t','k','running',0,1.79553466977483868602e+09,1.79553466978761839863e+09,'a6c71758531662130acc76422b5eb5d5a92b4b269094aa460735b3a53697f504',NULL,5,'13ccf05b18e9c661f62ce7995e5d41dc01e70eeb42dab7c0b42d193fe6d05bc7',1,'755a1ac831b64b87');
CREATE TABLE workers (
	id VARCHAR NOT NULL, 
	place VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX runs_flow_state ON runs (flow, state);
CREATE INDEX runs_thread ON runs (thread);
COMMIT;
